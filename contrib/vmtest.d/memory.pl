#!/usr/bin/perl
# Holds the MiB of its first argument; holds those of its second, too, when its file "grow" appears.
use strict;
$| = 1;
my ($first, $more) = @ARGV;
my @held;
# One at a time: no list of copies beside them.
for (1 .. $first) { push @held, chr(65 + $_ % 26) x (1 << 20); }
print "holds $first\n";
my $i = 0;
until (-e "$ENV{HOME}/grow.$ENV{SLURM_JOB_ID}") { $i++; print "step $i\n"; select undef, undef, undef, 0.5; }
for (1 .. $more) { push @held, chr(65 + $_ % 26) x (1 << 20); }
print "holds all\nend\n";
