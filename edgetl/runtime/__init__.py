"""What runs on the device: numpy, Pillow and one engine, nothing else of edgetl.

Stays Python 3.9 compatible, because boards are old.
"""
