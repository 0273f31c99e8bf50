"""Image backbones that timm does not name but our bundled model needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

MOBILENET_SAME = "mobilenetv2_100_same"


def register() -> None:
    """Teach timm the name `mobilenetv2_100_same`; calling it again changes nothing.

    The ImageNet weights of this MobileNetV2 were trained with TensorFlow's "SAME" padding, and
    open_clip's
    timm adapter has no way to ask for it, so the padding is part of the name.
    timm is imported here, not at the top: reading a model's configuration should not cost its
    import.
    """
    import timm
    from timm.models import register_model

    if timm.is_model(MOBILENET_SAME):
        return

    def mobilenetv2_100_same(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        # Weights always come from the model's own folder, so nothing is ever fetched here.
        kwargs.pop("pretrained_cfg", None)
        kwargs.pop("pretrained_cfg_overlay", None)
        return timm.create_model("mobilenetv2_100", pretrained=False, pad_type="same", **kwargs)

    # timm files an entrypoint under the module that defines it, and exports it from there.
    register_model(mobilenetv2_100_same)
