"""Announcements: news for users, and which of them were dismissed."""
