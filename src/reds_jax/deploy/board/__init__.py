"""Where exported C runs: on this computer (`host`), and on emulated Cortex-M processors (`device`, with ``qemu/``)."""
