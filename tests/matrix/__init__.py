"""The rollback matrix: every fault on containers, pods and nodes and everything that may die meanwhile; all is as before."""
