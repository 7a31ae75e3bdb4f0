// Nothing: the target that the precompiled header is made by needs one source file.
