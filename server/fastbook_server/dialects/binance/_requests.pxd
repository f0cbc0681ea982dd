# What other compiled modules call of `_requests.pyx`.

cpdef tuple plain_request(bytes data)
cpdef bytes signed_text(dict params)
