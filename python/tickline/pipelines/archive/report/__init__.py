"""``tickline archive report``: what an archive proves about clocks, under a rule."""
