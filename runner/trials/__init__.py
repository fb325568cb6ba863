"""Many runs of one scenario that answer one question: trials, the log of a campaign, and what each campaign asks."""
