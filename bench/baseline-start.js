// Node and nothing else: what `doorward connect` is compared with.
process.stdout.write("\n");
