"""llama.cpp, by the library in the wheel `xllamacpp`: GGUF files are run and quantised by what users run them with."""
