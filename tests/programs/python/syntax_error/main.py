"""Does not compile: nothing of it may run."""
print("never printed")

total = 0
for number in range(10)
    total += number
print(total)
