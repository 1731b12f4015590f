"""The directory (通讯录): units, responders and the address book. The service is in `service`."""
