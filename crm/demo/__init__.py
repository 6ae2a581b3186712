"""The demo: the main job from nothing to a delivered newsletter, on one command."""
