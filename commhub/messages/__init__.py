"""Messages (消息): the outbox, the sender and the inbox of answers. The service is in `service`."""
