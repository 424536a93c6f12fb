"""The connection to a gateway: WebSocket, or long polling where there is none."""
