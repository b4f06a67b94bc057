"""Video input and output with PyAV, the Python bindings of ffmpeg's libraries.

PyAV, rather than OpenCV or an ffmpeg process: it has exact frame times, copies sound, handles rotation and all pixel
formats, and its wheel contains libx264, so that nothing else has to be installed on the device.
"""
