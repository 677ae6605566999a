"""The simulated modality: it takes cases and gives DX objects, sent by C-STORE or put into a folder.

`sim.site`, `sim.demo` and `sim.app` import it.
"""
