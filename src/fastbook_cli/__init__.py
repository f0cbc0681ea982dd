"""The ``fastbook`` command and its companions: views, simulation, replay, export."""
