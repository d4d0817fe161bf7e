-- The version of the running server, whose binaries on the disk may be newer.
SHOW server_version;
