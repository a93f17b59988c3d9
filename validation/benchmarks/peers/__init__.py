"""Speed against other integrators: ``python -m validation.benchmarks.peers``.

One file per subject (`throughput`, `threads`, `single`, `matrix`, `simulation`, `start`, `large`), one for the problems all integrators
are given (`subject`), one for the integrators (`integrators`), and the clock (`clock`) and the page (`page`).
"""

SUBJECTS = ("throughput", "threads", "single", "matrix", "simulation", "start", "large")
