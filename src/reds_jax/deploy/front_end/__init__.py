"""The front end of an exported keyword spotter: from audio to the input of the network, and from its outputs to words."""
