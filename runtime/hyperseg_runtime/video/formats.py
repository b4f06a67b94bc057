"""Video formats that are written: for each suffix the container, the video encoder, and the sound it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hyperseg_runtime.errors import OutputError

Options = Mapping[str, str]


@dataclass(frozen=True)
class VideoFormat:
    """A container with the codecs that players expect in it; all names are those of ffmpeg."""

    container: str
    video_encoders: Mapping[str, Options]
    """With their options; the first one that PyAV was built with is used."""
    sound_encoder: str | None
    """Encodes sound that cannot be copied. None: the container has no sound."""
    copied_sound: frozenset[str] = frozenset()
    """Audio codecs that players take in this container, so that packets are copied."""
    options: Options = field(default_factory=dict)
    """Of the container."""
    edit_lists: bool = False
    """Whether packets may begin before 0, for the decoder only. Else ffmpeg would delay everything, video included."""

    def video_encoder(self) -> tuple[str, Options]:
        """Raises OutputError if this PyAV has none of the encoders."""
        from av.codec.codec import Codec, UnknownCodecError

        for name, options in self.video_encoders.items():
            try:
                Codec(name, "w")
            except UnknownCodecError:
                continue
            return name, options
        wanted = " or ".join(self.video_encoders)
        raise OutputError(f"this PyAV was built without the encoder {wanted}; pip install av (its wheels have it)")


_PCM = frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"})
_MPEG4_SOUND = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_FAST_START = {"movflags": "faststart"}

# Encoders share the CPU with the network. x264's ultrafast takes a third of superfast's time, and at this constant rate
# factor no more bytes than superfast at 20.
_H264 = {"libx264": {"preset": "ultrafast", "crf": "23"}}
# https://trac.ffmpeg.org/wiki/Encode/VP9: constant quality in VP9 needs b=0, in VP8 a limit; real time wants cpu-used
# from 5 to 8. Frames held back for a second look would only add latency.
_VPX = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
_VP9_OR_VP8 = {
    "libvpx-vp9": {**_VPX, "crf": "36", "b": "0", "row-mt": "1"},
    "libvpx": {**_VPX, "crf": "20", "b": "8M"},
}

FORMATS: Final[Mapping[str, VideoFormat]] = {
    ".mp4": VideoFormat("mp4", _H264, "aac", _MPEG4_SOUND | {"opus", "flac"}, _FAST_START, True),
    ".mov": VideoFormat("mov", _H264, "aac", _MPEG4_SOUND | _PCM, _FAST_START, True),
    ".mkv": VideoFormat("matroska", _H264, "aac", _MPEG4_SOUND | _PCM | {"opus", "flac", "vorbis", "mp2", "dts"}),
    ".webm": VideoFormat("webm", _VP9_OR_VP8, "libopus", frozenset({"opus", "vorbis"})),
    ".gif": VideoFormat("gif", {"gif": {}}, None),
}
"""By a file's suffix."""
