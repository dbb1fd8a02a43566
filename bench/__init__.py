"""The numbers that gonogo holds itself to: counts and ratios, never times (`make bench`)."""
