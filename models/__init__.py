"""From signals to codes and back: float networks in torch, which never see a byte."""
