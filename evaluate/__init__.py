"""Rate–quality evaluation of luxvox and its peers on any pictures and voices."""
