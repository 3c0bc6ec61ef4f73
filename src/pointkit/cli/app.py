"""The command line's name, help and version, to which each command adds itself."""

from __future__ import annotations

from cyclopts import App

from pointkit import __version__

app = App(
    name="pointkit",
    version=__version__,
    help_format="plaintext",
    help="""3D files in, trained and honestly measured networks out.

  pointkit learn my_folder/ -o runs/a       all of it, in about 20 minutes
or step by step:
  pointkit prepare my_folder/ -o data/mine  one folder a class of 3D files
  pointkit train data/mine -o runs/a        Ctrl-C is safe; the same goes on
  pointkit evaluate runs/a                  table, report.json, report.html
  pointkit predict runs/a new.off scan.ply  the class, or the part of each point
  pointkit demo                             all of it, on built-in shapes
  pointkit --install-completion             Tab completes commands and flags""",
)
app.register_install_completion_command(help="Let this shell complete pointkit's commands, flags and files.")
