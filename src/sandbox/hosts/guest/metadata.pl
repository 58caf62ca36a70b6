# The instance metadata service of a host, version 2: answers from the files under /run/sandbox/metadata,
# which spot writes from outside. Ends with the host. metadata.pl ADDRESS PORT
# The parent ends once connections are accepted.
use strict;
use warnings;
use Socket;

my ($address, $port) = @ARGV;
my $root = '/run/sandbox/metadata';
my $longest = 21600;
my %tokens;

socket(my $listener, PF_INET, SOCK_STREAM, 0) or exit 1;
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, pack('l', 1));
bind($listener, sockaddr_in($port, inet_aton($address))) or exit 1;
listen($listener, 64) or exit 1;
my $child = fork;
exit 1 unless defined $child;
exit 0 if $child;

$SIG{PIPE} = 'IGNORE';
while (1) {
    accept(my $client, $listener) or next;
    # A client that says nothing must not keep the others waiting for long.
    eval {
        local $SIG{ALRM} = sub { die "late\n" };
        alarm 2;
        serve($client);
    };
    alarm 0;
    close $client;
}

sub serve {
    my ($client) = @_;
    my $request = '';
    while ($request !~ /\r?\n\r?\n/) {
        return if length $request > 8192 || !sysread($client, $request, 4096, length $request);
    }
    my ($method, $path) = $request =~ m{^([A-Z]+) (\S+) HTTP/1\.[01]\r?\n} or return answer($client, 400);
    my %headers;
    $headers{lc $1} = $2 while $request =~ /^([\w-]+):[ \t]*(.*?)[ \t]*\r?$/mg;
    my $now = time;
    delete @tokens{grep { $tokens{$_} <= $now } keys %tokens};
    if ($method eq 'PUT' && $path eq '/latest/api/token') {
        return answer($client, 403) if exists $headers{'x-forwarded-for'};
        my $life = $headers{'x-aws-ec2-metadata-token-ttl-seconds'} // '';
        return answer($client, 400) unless $life =~ /^[0-9]{1,5}$/ && $life >= 1 && $life <= $longest;
        open(my $random, '<', '/dev/urandom') or return answer($client, 503);
        read($random, my $bytes, 28) == 28 or return answer($client, 503);
        my $token = unpack('H*', $bytes);
        $tokens{$token} = $now + $life;
        return answer($client, 200, $token, "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: $life\r\n");
    }
    return answer($client, 405) unless $method eq 'GET' || $method eq 'HEAD';
    my $token = $headers{'x-aws-ec2-metadata-token'};
    # Version 1 asks without a token; one that is not valid is refused all the same.
    return answer($client, 401) unless defined $token ? exists $tokens{$token} : -e "$root/v1";
    # Only plain names: nothing may lead out of the folder.
    $path =~ s/\?.*//;
    $path =~ s/%([0-9A-Fa-f]{2})/chr hex $1/eg;
    return answer($client, 404) if $path !~ m{^/[\w./+=,:@-]*$} || $path =~ m{(^|/)\.};
    # Dated versions are all the same here.
    $path =~ s{^/[0-9]{4}-[0-9]{2}-[0-9]{2}(?=/|$)}{/latest};
    return answer($client, 200, 'latest') if $path eq '/';
    return answer($client, 404) if $path !~ m{^/latest(/|$)};
    my $place = $root . $path;
    $place =~ s{/+$}{};
    if (-d $place) {
        opendir(my $folder, $place) or return answer($client, 404);
        # Keys of SSH are listed with a number and a name, not as folders.
        return answer($client, 200, join "\n", map { "$_=key-$_" } sort { $a <=> $b } grep { /^[0-9]+$/ } readdir $folder)
            if $path =~ m{/public-keys/?$};
        my @names = map { -d "$place/$_" ? "$_/" : $_ } sort grep { !/^\.|\.new$/ } readdir $folder;
        return answer($client, 200, join "\n", @names);
    }
    open(my $file, '<', $place) or return answer($client, 404);
    local $/ = undef;
    answer($client, 200, scalar(<$file>) // '');
}

sub answer {
    my ($client, $status, $body, $more) = @_;
    my %words = (200 => 'OK', 400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden',
        404 => 'Not Found', 405 => 'Method Not Allowed', 503 => 'Service Unavailable');
    $body //= '';
    my $head = "HTTP/1.1 $status $words{$status}\r\nContent-Type: text/plain\r\nServer: EC2ws\r\n"
        . 'Content-Length: ' . length($body) . "\r\nConnection: close\r\n" . ($more // '') . "\r\n";
    my $all = $head . $body;
    while (length $all) {
        my $sent = syswrite($client, $all) or return;
        substr($all, 0, $sent) = '';
    }
}
