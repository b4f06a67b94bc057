"""Video in and out through PyAV, the Python bindings of ffmpeg's libraries.

PyAV and not OpenCV or an ffmpeg process: it gives every frame's exact time, copies sound, knows rotation and all pixel
formats, carries libx264 in its wheel, and needs nothing installed on the device.
"""
