"""Names of streams: one for each file about them, and none with a password in it."""

from __future__ import annotations

import pytest
from hyperseg_runtime.inputs import Input, with_stream_names
from hyperseg_runtime.media import Kind
from hyperseg_runtime.video.location import displayed, is_live_url, url_stem


@pytest.mark.parametrize(
    ("url", "shown", "stem"),
    [
        ("rtsp://cam1.local/live", "rtsp://cam1.local/live", "cam1.local-live"),
        ("rtsp://admin:pw@cam1.local:8554/a/1?x=2", "rtsp://***@cam1.local:8554/a/1?x=2", "cam1.local-8554-a-1"),
        ("rtsp://admin:p%40w@[::1]:554/", "rtsp://***@[::1]:554/", "1-554"),
        ("rtsp://admin:p@ss@cam/1", "rtsp://***@cam/1", "cam-1"),
        ("rtsp://admin:pw/half@cam/1", "rtsp://***@cam/1", "cam-1"),
        ("http://cam:8080/@home", "http://cam:8080/@home", "cam-8080-home"),
        ("http://cam/v?user=u&pwd=p&channel=1", "http://cam/v?user=***&pwd=***&channel=1", "cam-v"),
        ("http://cam/v?Access_Token=abc#t", "http://cam/v?Access_Token=***#t", "cam-v"),
        ("http://cam/keyboard?monkey=1", "http://cam/keyboard?monkey=1", "cam-keyboard"),
        ("srt://", "srt://", "stream"),
        ("tcp://h/" + "x" * 200, "tcp://h/" + "x" * 200, "h-" + "x" * 78),
        ("a clip.mp4", "a clip.mp4", "a-clip.mp4"),
    ],
)
def test_what_is_displayed_of_a_url(url: str, shown: str, stem: str) -> None:
    assert displayed(url) == shown
    assert url_stem(url) == stem


def stems(*texts: str) -> list[str]:
    return [item.stem for item in with_stream_names([_input(text) for text in texts])]


def _input(text: str) -> Input:
    if text.isdigit():
        return Input(Kind.CAMERA, text)
    return Input(Kind.STREAM if "://" in text else Kind.VIDEO, text)


def test_one_stream_has_the_usual_name() -> None:
    assert stems("rtsp://cam/1") == ["stream"]
    assert stems("rtsp://cam/1", "0", "a.mp4") == ["stream", "camera-0", "a"]


def test_several_have_names_of_their_own() -> None:
    assert stems("rtsp://a/1", "0", "rtsp://b/1", "1") == ["a-1", "camera-0", "b-1", "camera-1"]
    assert stems("rtsp://a/1?x=1", "rtsp://A/1?x=2", "rtsp://a/1?x=3", "a-1.mp4") == ["a-1-2", "A-1-3", "a-1-4", "a-1"]


def test_protocols_that_are_live() -> None:
    assert all(map(is_live_url, ("rtsp://h", "RTMP://h", "udp://h:1", "srt://h:1", "tcp://h:1")))
    assert not any(map(is_live_url, ("http://h/a.mp4", "https://h/a.m3u8", "rtsp", "./rtsp:/h")))
