def mean(values):
    return f"my own mean of {len(values)} values"
