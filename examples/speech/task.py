"""Speech: a speaker encoder as it is shipped, read far past its 160 training frames, and repaired without labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from examples.speech.resemblyzer import TRAIN_CONTEXT, load_encoder
from examples.speech.silero import load_silero, measure_silero
from examples.speech.streams import enrolment_windows, load_speech
from outlast.data import Batch, Split
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import Measure
from outlast.interventions import state_passing
from outlast.model import Recurrent, device_of
from outlast.tasks.task import Task
from outlast.training import TrainSettings
from outlast.training.objectives import Objective, self_distillation


def centroids(model: Recurrent) -> Tensor:
    """(speakers, 256): where each voice lies, the mean embedding at the end of its enrolment windows, unit length.

    A repair is measured against the centroids of the *untouched* model: voices that were enrolled stay enrolled.
    """
    windows, speakers = enrolment_windows()
    device = device_of(model)
    with torch.no_grad():
        outputs, _ = model(torch.from_numpy(windows).to(device), model.initial_state(len(windows)))
    last, number = outputs[:, -1], torch.from_numpy(speakers).to(device)
    means = [last[number == speaker].mean(0) for speaker in range(int(number.max()) + 1)]
    return F.normalize(torch.stack(means), dim=-1)


def wrong_speaker(outputs: Tensor, batch: Batch, places: Tensor) -> Tensor:
    """(B, T): 1 where the centroid nearest to the embedding (by cosine) is not the speaker's."""
    if batch.targets is None or outputs.shape[-1] != places.shape[-1]:
        raise InputError(
            f"embeddings {tuple(outputs.shape)} and targets {None if batch.targets is None else 'of speakers'}",
            f"embeddings (B, T, {places.shape[-1]}) and the number of a speaker at every position",
            "measure the encoder that the centroids were made with, on streams of the task",
        )
    return ((outputs.float() @ places.to(outputs.device).T).argmax(-1) != batch.targets).float()


def wrong_by(outputs: Tensor, batch: Batch, places: Tensor) -> Tensor:
    """(B, T): by how much the nearest other speaker's centroid is nearer than the speaker's own, in cosines."""
    likeness = F.normalize(outputs.float(), dim=-1) @ places.to(outputs.device).T
    assert batch.targets is not None
    own = F.one_hot(batch.targets, likeness.shape[-1]).bool()
    return likeness.masked_fill(own, -torch.inf).amax(-1) - likeness.masked_fill(~own, -torch.inf).amax(-1)


def speaker_measures(model: Recurrent) -> tuple[Measure, ...]:
    """Error rates by nearest centroid: at every frame, and at the last frame of each window of the training context.

    The second is the best moment of a model that is reset at the beginning of every such window. As evaluations
    average over whole windows of targets, it counts the last frame for all of its window (and says nothing about
    windows that are cut).
    """
    places = centroids(model)

    def everywhere(outputs: Tensor, batch: Batch) -> Tensor:
        return wrong_speaker(outputs, batch, places)

    def at_window_ends(outputs: Tensor, batch: Batch) -> Tensor:
        length = batch.weights.shape[1]
        at = batch.position.to(outputs.device)[:, None] + torch.arange(length, device=outputs.device)
        return everywhere(outputs, batch) * ((at + 1) % TRAIN_CONTEXT == 0) * TRAIN_CONTEXT

    margin = Measure(
        "speaker_margin", "cosine", lambda outputs, batch: wrong_by(outputs, batch, places), False, 0.01,
        worst=2.0, outputs="embeddings",
    )  # fmt: skip

    def most_frequent(targets: Tensor, classes: int) -> Tensor:
        return places[int(torch.bincount(targets, minlength=classes).argmax())].cpu()

    error = Measure(
        "speaker_error",
        "error rate",
        everywhere,
        relative=False,
        tolerance=0.01,
        margin=0.01,
        worst=1.0,
        outputs="embeddings",
        smooth=margin,
        constant=most_frequent,
    )
    return error, Measure("speaker_error_at_window_ends", "error rate", at_window_ends, True, 0.01)


def everything() -> Split:
    """The streams; both models' weights are fetched with them, so that nothing needs the network later."""
    load_encoder()
    load_silero()
    return load_speech()


def agree_with_untouched(model: Recurrent) -> Objective:
    """No labels: 1 − cosine to the untouched model's embedding from the zero state on the same window.

    Only frames from the 80th of a window on count. Before, the untouched model has heard too little to teach.
    """
    return self_distillation(model, "cosine", warm_up=TRAIN_CONTEXT // 2)


SPEECH = Task(
    name="speech",
    summary="a shipped speaker encoder (160 frames) on streams of one voice, repaired without labels",
    streams=everything,
    model=lambda seed: load_encoder(),
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(),
    pretrained=True,
    objective=agree_with_untouched,
    measures=speaker_measures,
    repairing=TrainSettings(steps=200, batch_size=20, learning_rate=2e-4, checkpoint_every=100),
    measuring=EvalSettings(jobs=2),
    interventions=(state_passing(),),
    healthy=measure_silero,
)
