"""Rate–quality evaluation of luxvox and its peers on anybody's pictures and voices."""
