listen: listen.o wav.o $$(OBJECTS)
	$$(CC) $$(LDFLAGS) -o $$@ $$^

listen.o: listen.c wav.h ${name}_listen.h ${name}_model.h
wav.o: wav.c wav.h
