"""The ``fastbook`` command and the companions it starts: clients, simulations, exports."""
