// Node and nothing else: what `doorward connect` is compared with. It stays until its stdin ends, to be measured.
process.stdout.write("\n");
process.stdin.resume();
