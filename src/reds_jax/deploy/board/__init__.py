"""Where exported C runs: on this computer (`host`), and on emulated processors (`device`, `boards`, with ``qemu/``)."""
