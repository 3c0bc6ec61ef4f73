"""Loss, output, gradients and moving statistics of one training-mode call, alike on every backend, as NumPy arrays."""

import keras
import numpy as np


def numpy(x):
    return np.array(keras.ops.convert_to_numpy(x))


def training_call(model, inputs, loss_of):
    """One call in training mode: its loss, output, gradient by weight path, gradient of the inputs, and statistics.

    ``loss_of`` maps the output to a scalar; the model's own penalties are added. The model keeps its weights, and moves
    its statistics.
    """
    convert = keras.ops.convert_to_tensor
    inputs = [convert(x) for x in inputs]
    call = {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}[keras.backend.backend()]
    loss, output, gradients, into = call(model, inputs, loss_of)
    paths = [weight.path for weight in model.trainable_weights]
    return {
        "loss": float(numpy(loss)),
        "output": numpy(output),
        "gradients": dict(zip(paths, map(numpy, gradients), strict=True)),
        "inputs": [numpy(x) for x in into],
        "statistics": {weight.path: numpy(weight) for weight in model.non_trainable_weights},
    }


def _first(inputs):
    return inputs if len(inputs) > 1 else inputs[0]


def _jax(model, inputs, loss_of):
    import jax

    def run(trainable, inputs, others):
        output, others, losses = model.stateless_call(
            trainable, others, _first(inputs), training=True, return_losses=True
        )
        return loss_of(output) + sum(losses), (output, others)

    trainable, others = ([w.value for w in ws] for ws in (model.trainable_weights, model.non_trainable_weights))
    (loss, (output, others)), (gradients, into) = jax.jit(jax.value_and_grad(run, (0, 1), has_aux=True))(
        trainable, inputs, others
    )
    for weight, value in zip(model.non_trainable_weights, others, strict=True):
        weight.assign(value)
    return loss, output, gradients, into


def _torch(model, inputs, loss_of):
    import torch

    inputs = [x.detach().requires_grad_() for x in inputs]
    output = model(_first(inputs), training=True)
    loss = loss_of(output) + sum(model.losses)
    wanted = [*(weight.value for weight in model.trainable_weights), *inputs]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    return loss, output, gradients[: -len(inputs)], gradients[-len(inputs) :]


def _tensorflow(model, inputs, loss_of):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        for x in inputs:
            tape.watch(x)
        output = model(_first(inputs), training=True)
        loss = loss_of(output) + sum(model.losses)
    wanted = [*(weight.value for weight in model.trainable_weights), *inputs]
    gradients = tape.gradient(loss, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return loss, output, gradients[: -len(inputs)], gradients[-len(inputs) :]
