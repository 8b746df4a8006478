"""Choose the streams of a clip, and turn, deinterlace and label what they hold."""
