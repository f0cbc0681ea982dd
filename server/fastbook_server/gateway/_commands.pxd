# The reader of commands, for other modules; `_commands.pyx` says what it does.

cpdef object read(bytes frame)
