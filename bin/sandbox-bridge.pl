# What sandbox-bridge.cjs is, for systems that have perl: it listens a Node's start earlier, and holds a tenth of the memory.
# No module is loaded that any perl might lack; the numbers are Linux's, and the same on x64 and arm64.
use strict;

my ($port, $socket) = @ARGV;
my ($AF_UNIX, $AF_INET, $SOCK_STREAM, $SHUT_WR) = (1, 2, 1, 1);
my ($F_GETFL, $F_SETFL, $O_NONBLOCK) = (3, 4, 04000);
my ($EINTR, $EAGAIN) = (4, 11);
# More connections at once than any server needs; the proxy has its own limit.
my $CONNECTIONS = 256;
my $CHUNK_BYTES = 65536;

# By descriptor: the handle, the descriptor of its other side, what is still to be written to it, whether it said all.
my (%handle, %peer, %pending, %ended);

# Where the program has a terminal, its signals come here too; they are the program's.
$SIG{$_} = 'IGNORE' for qw(INT QUIT PIPE);

socket(my $server, $AF_INET, $SOCK_STREAM, 0) or die "socket: $!\n";
bind($server, pack('S n C4 x8', $AF_INET, $port, 127, 0, 0, 1)) or die "bind: $!\n";
listen($server, $CONNECTIONS) or die "listen: $!\n";
unblock($server);

# `sandbox-wait.cjs` looks for it.
open(my $ready, '>', '/dev/shm/doorward-bridge') or die "ready: $!\n";
close($ready);
syswrite(STDOUT, 'ready');
open(STDOUT, '>', '/dev/null') or die "null: $!\n";

while (1) {
    my ($readable, $writable) = ('', '');
    vec($readable, fileno($server), 1) = 1;
    for my $fd (keys %handle) {
        # Who is slow to take makes the other side wait.
        vec($readable, $fd, 1) = 1 if !$ended{$fd} && $pending{$peer{$fd}} eq '';
        vec($writable, $fd, 1) = 1 if $pending{$fd} ne '';
    }
    next if select($readable, $writable, undef, undef) < 1;
    for my $fd (keys %handle) {
        give($fd) if exists $handle{$fd} && vec($writable, $fd, 1);
        take($fd) if exists $handle{$fd} && vec($readable, $fd, 1);
    }
    # Last: a new connection may get the number of one that was just closed.
    admit() if vec($readable, fileno($server), 1);
}

sub admit {
    accept(my $near, $server) or return;
    return if keys(%handle) >= 2 * $CONNECTIONS;
    socket(my $far, $AF_UNIX, $SOCK_STREAM, 0) or return;
    connect($far, pack('S a108', $AF_UNIX, $socket)) or return;
    for ([$near, $far], [$far, $near]) {
        my ($one, $other) = @$_;
        my $fd = fileno($one);
        unblock($one);
        ($handle{$fd}, $peer{$fd}, $pending{$fd}, $ended{$fd}) = ($one, fileno($other), '', 0);
    }
}

sub take {
    my ($fd) = @_;
    my $got = sysread($handle{$fd}, my $chunk, $CHUNK_BYTES);
    return retried() || drop($fd) if !defined($got);
    my $other = $peer{$fd};
    if ($got > 0) {
        $pending{$other} = $chunk;
        return give($other);
    }
    $ended{$fd} = 1;
    return drop($fd) if $ended{$other};
    shutdown($handle{$other}, $SHUT_WR);
}

sub give {
    my ($fd) = @_;
    my $given = syswrite($handle{$fd}, $pending{$fd});
    return retried() || drop($fd) if !defined($given);
    substr($pending{$fd}, 0, $given) = '';
}

sub retried {
    return $! == $EINTR || $! == $EAGAIN;
}

sub drop {
    my ($fd) = @_;
    my @both = ($fd, $peer{$fd});
    for my $one (@both) {
        close(delete $handle{$one});
        delete $_->{$one} for (\%peer, \%pending, \%ended);
    }
}

sub unblock {
    my ($one) = @_;
    my $flags = fcntl($one, $F_GETFL, 0) or die "fcntl: $!\n";
    fcntl($one, $F_SETFL, $flags | $O_NONBLOCK) or die "fcntl: $!\n";
}
