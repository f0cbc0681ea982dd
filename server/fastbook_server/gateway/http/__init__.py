"""What the gateway answers over plain HTTP: the API, the documents and the trading page."""
