"""Reports (上报): kept before their sender hears so, then each becomes an incident. The service is in `service`."""
