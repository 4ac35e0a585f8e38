"""What requests give that generate no text: what it is called, its rate and its price. One line a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fmload.metrics.definitions import Totals


@dataclass(frozen=True, slots=True)
class Product:
    """One kind. `each` is the metric of how many a request has, `rate` that of its throughput and `price` that of its
    price, all by their names in `StageResult.value`. `per` is the rate's time, in words: "a second"."""

    noun: str  # of several: "inputs"
    one: str
    is_of: Callable[[Totals], bool]
    each: str
    rate: str
    per: str
    unit: str
    price: str
    price_label: str
    paid: str  # what the price is of, for tables

    @property
    def title(self) -> str:
        """`Inputs`."""
        return self.noun.capitalize()


INPUTS = Product("inputs", "input", lambda totals: totals.completed_inputs is not None, "inputs_mean", "inputs_per_s",
                 "a second", "1/s", "price_per_1m_inputs", "Per 1M inputs", "Texts embedded, or documents ranked")
IMAGES = Product("images", "image", lambda totals: totals.completed_images is not None, "images_mean",
                 "images_per_minute", "a minute", "1/min", "price_per_1k_images", "Per 1k images", "Images made")
SOUND = Product("seconds of sound", "second of sound", lambda totals: totals.sound is not None, "audio_mean",
                "audio_per_s", "a second", "1/s", "price_per_audio_hour", "Per hour of sound",
                "Sound transcribed, or spoken")
PRODUCTS = (INPUTS, IMAGES, SOUND)


def product_of(totals: Totals) -> Product | None:
    """What a stage's requests give; None where they generate text."""
    return next((product for product in PRODUCTS if product.is_of(totals)), None)
