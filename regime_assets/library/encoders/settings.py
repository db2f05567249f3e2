"""Settings of the encoders: what all of them share, and the shape of each."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from regime_assets.library.settings import STRICT


@dataclass(frozen=True, config=STRICT)
class EncoderSettings:
    """What every autoencoder reads and how it is trained; an encoder of your own inherits from it.

    An epoch is a fixed number of optimiser steps on batches drawn in proportion to the sessions' weights, so that a
    window of one year and one of thirty years get the same training.

    Attributes:
        sequence_length: feature rows (sessions) that one encoding reads.
        n_latents: L.
        beta: weight of the KL term after its warm-up.
        warm_up_epochs: over which the KL term's weight rises from 0 in a full retrain.
        free_bits: nats per latent below which the KL term stops pressing (Kingma et al. 2016).
        epochs, fine_tune_epochs: of a full retrain, of a daily warm start.
        learning_rate, fine_tune_learning_rate: of Adam at the start; both fall to a twentieth along a cosine.
        steps_per_epoch, batch_size: optimiser steps and rows a step.
        shrink, perturb: warm-start weights are multiplied by `shrink` and get Gaussian noise of `perturb` times
            a fresh weight's standard deviation (Ash and Adams 2020, "On warm-starting neural network training").
        clip: scaled features are cut at this many robust standard deviations.
        validation_block_days, validation_period: one calendar-anchored block of so many days in every so many is
            held out; a session is always in the same role, so that a warm start never learned its validation rows.
        purge_sessions: left out on either side of a block, besides `sequence_length`.
        fewest_sessions: shortest window that is fitted.
        fewest_active_units, active_unit_variance: latents whose means vary by more than this over the window
            count as active (Burda et al. 2016); fewer is posterior collapse.
        largest_validation_ratio: acceptable validation error relative to the previous model's on the same rows.
        predicts: sessions whose return of each traded instrument a linear head foretells from the latents, counted from
            the first that a decision earns; 0: there is no head. Latents then keep what foretells returns beside what
            describes the features.
        prediction_weight: of the head's squared error, in standard deviations of the return, beside one session's
            evidence bound.
    """

    sequence_length: int = 5
    n_latents: int = 3
    beta: float = 1.0
    warm_up_epochs: int = 15
    free_bits: float = 0.1
    epochs: int = 40
    fine_tune_epochs: int = 8
    learning_rate: float = 4e-3
    fine_tune_learning_rate: float = 5e-4
    steps_per_epoch: int = 25
    batch_size: int = 256
    shrink: float = 0.999
    perturb: float = 0.002
    clip: float = 3.0
    validation_block_days: int = 28
    validation_period: int = 8
    purge_sessions: int = 5
    fewest_sessions: int = 120
    fewest_active_units: int = 2
    active_unit_variance: float = 0.01
    largest_validation_ratio: float = 2.0
    predicts: int = 0
    prediction_weight: float = 10.0

    def __post_init__(self) -> None:
        for name in ("sequence_length", "n_latents", "epochs", "fine_tune_epochs", "steps_per_epoch", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.warm_up_epochs >= self.epochs:
            raise ValueError(f"warm_up_epochs {self.warm_up_epochs} leaves none of {self.epochs} epochs at full weight")
        if self.predicts < 0:
            raise ValueError(f"predicts is {self.predicts}, must be a number of sessions, or 0 for no head")
        if self.prediction_weight <= 0:
            raise ValueError(
                f"prediction_weight is {self.prediction_weight}, must be positive; `predicts: 0` is no head"
            )
        if self.fewest_active_units > self.n_latents:
            raise ValueError(f"fewest_active_units {self.fewest_active_units} exceeds n_latents {self.n_latents}")


@dataclass(frozen=True, config=STRICT)
class MlpVaeSettings(EncoderSettings):
    """The shipped encoder: fully connected layers over the flattened sequence.

    Attributes:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
    """

    hidden: tuple[int, ...] = (32, 32)


@dataclass(frozen=True, config=STRICT)
class ConvVaeSettings(EncoderSettings):
    """Causal convolutions along the sequence.

    Attributes:
        channels: of each convolution, from the input on; the decoder mirrors them.
        kernel: sessions that one convolution sees.
    """

    channels: tuple[int, ...] = (16, 16)
    kernel: int = 3


@dataclass(frozen=True, config=STRICT)
class GruVaeSettings(EncoderSettings):
    """A gated recurrent unit that reads the sequence, oldest session first.

    Attributes:
        width: of its hidden state; the decoder's is the same.
    """

    width: int = 24


@dataclass(frozen=True, config=STRICT)
class NoEncoderSettings(EncoderSettings):
    """No autoencoder: the regimes read the scaled features themselves. Only `clip` and `fewest_sessions` say anything
    here; nothing is trained, and a policy sees the features in the place of latents."""

    sequence_length: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.predicts:
            raise ValueError("the encoder none trains nothing that could predict: leave `predicts` out")
