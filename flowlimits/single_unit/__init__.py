"""One unit with any loss and link, structured inputs."""
