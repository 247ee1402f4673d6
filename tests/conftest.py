"""What all tests share: hypothesis without deadlines, since the machine may be busy."""

from hypothesis import settings

settings.register_profile("luxvox", deadline=None)
settings.load_profile("luxvox")
