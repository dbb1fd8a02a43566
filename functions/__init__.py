"""One module per caller: parse, call gonogo, render. No rule lives here."""
