"""One command a figure: `python -m benchmarks NAME [--json] …`, or `all`.

Each verifies its own work and fails when it is not done; figures are ratios against a peer or a floor in the same
run wherever there is one. docs/performance.md holds the figures with the commands that made them.
"""
