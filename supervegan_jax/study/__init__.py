"""Bitrate equivalency according to people (section IV-B): pairs, a page to vote on, analysis."""
