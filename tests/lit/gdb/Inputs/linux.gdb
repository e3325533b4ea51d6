break main
continue
print argv[2]
watch total
continue
continue
delete 2
rwatch limit
continue
delete 3
awatch letter
continue
continue
delete 4
print square(7)
break half
continue
finish
set var total = 1000
continue
