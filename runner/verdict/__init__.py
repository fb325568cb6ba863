"""What was learned: findings from assertions, fault reports and the outcome, purely from a record."""
